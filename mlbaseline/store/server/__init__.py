"""The tracking server: connection, runs while they are open, search, references and artifacts."""
