"""The node as a peer: destinations, deliveries, storage commitment, and fetching."""
