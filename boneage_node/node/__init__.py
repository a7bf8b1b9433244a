"""The processes of a node: supervisor, receiver, worker, control, and what each does first."""
