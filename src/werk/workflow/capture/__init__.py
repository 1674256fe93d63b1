"""What a run was made of: the code as it lay in the folder, and the Python it ran on."""
