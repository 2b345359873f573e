"""The commands, one file for each subject. Each asks the API through the client and prints what it answers."""
