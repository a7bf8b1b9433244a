"""All that touches the inside of pynetdicom."""
