"""The picture beside a report, as Secondary Capture."""
