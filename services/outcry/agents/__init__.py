"""What a trader is: pure decisions on whole numbers, with chance and time handed in."""
