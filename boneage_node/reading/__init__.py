"""From the files of a study to a result, and from the result to the documents that are sent."""
