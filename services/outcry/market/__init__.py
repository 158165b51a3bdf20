"""What an exchange is: commands in, events out; pure, whole numbers only, no clock, no chance, no I/O."""
