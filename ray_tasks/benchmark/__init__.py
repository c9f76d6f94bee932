"""The ranking benchmark: any data set, one split, every model by the same measures."""
