"""What the operator of a venue may do: list and halt symbols, open accounts, issue keys, move money; all audited."""
