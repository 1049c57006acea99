"""All of Studbook on one machine: keys, demo identities, three processes, one command."""
