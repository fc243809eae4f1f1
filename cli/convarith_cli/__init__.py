"""The command line of convarith: reads questions, asks the core, writes answers. No arithmetic happens here."""
