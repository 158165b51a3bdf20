"""The stream role: the market as it happens, and what happens to an account, over WebSockets."""
