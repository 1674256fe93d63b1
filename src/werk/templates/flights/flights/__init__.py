"""Will this flight arrive thirty minutes late? Asked an hour before it is due to leave."""
