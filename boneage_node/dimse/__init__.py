"""The DICOM network: what receives radiographs (SCP) and what sends reports (SCU).

This room knows associations, statuses and files. It decodes no pixel and knows no model.
"""
