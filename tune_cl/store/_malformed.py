"""What reading a file raises that is not what we wrote."""

import pickle

# torch.load's own complaints, and those of taking a content of another shape apart.
MALFORMED = (pickle.UnpicklingError, EOFError, RuntimeError, LookupError, AttributeError, TypeError, ValueError)
