"""Run the command line: verbs, flags, help, completion, output and exit codes."""
