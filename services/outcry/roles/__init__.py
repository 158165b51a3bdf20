"""What runs: one module or package per role, each driven through the ports alone."""
