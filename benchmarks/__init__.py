"""werk beside its peers and its limits, measured in one run: ratios count, absolute times do not travel."""
