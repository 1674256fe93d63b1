"""A failed step under a debugger, in a process and on stores of its own."""
