"""A market that makes itself: the seeded crowd at work on a running exchange."""
