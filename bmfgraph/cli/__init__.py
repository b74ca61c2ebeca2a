"""Run the command line: verbs, flags, help, completion, output and exit codes.

``cli.main.main`` is the program. ``cli.commands`` declares the verbs and their flags with click; parsing, help and
completion read that declaration. ``cli.multirun`` composes the configuration, once or for every run of a sweep, and
calls the Python face (``bmfgraph.api``). The other modules print its results.
"""
