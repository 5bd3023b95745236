"""What a plug-in makes known is forgotten after each test."""

from forgotten_parts import forgotten_parts as forgotten_parts
