"""A first project for a file of one's own: every file of it is a proposal, with `# check this` at each guess."""
