"""What workers know of DICOM: decoding, codes, templates, identity."""
