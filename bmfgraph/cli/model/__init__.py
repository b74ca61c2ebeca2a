"""Look at models from the command line: the verbs of ``model``, each in a file of its name."""
