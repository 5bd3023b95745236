"""An extension of Griffe for the site: a field's comment is its docstring, as this package writes them."""

import ast
import io
import tokenize
from typing import Any

from griffe import Attribute, Docstring, Extension


class CommentsOfFields(Extension):
    """Take the comment at the end of a field's line where there is no docstring."""

    def on_attribute_instance(self, *, node: ast.AST | Any, attr: Attribute, **kwargs: Any) -> None:
        """Called by Griffe once per attribute."""
        undocumented = attr.docstring is None and attr.parent is not None and attr.parent.is_class
        if undocumented and (text := comment(attr.source)):
            attr.docstring = Docstring(f"{text[0].upper()}{text[1:]}.", parent=attr)


def comment(source: str) -> str:
    """The comments at the ends of a statement's lines, in one."""
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(source.strip()).readline))
    except (tokenize.TokenError, SyntaxError):
        return ""
    words = " ".join(token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT)
    return "" if words.startswith(("type:", "noqa")) else words
