"""Matrix products of every shape."""

from chainrule.compiler.on_native.matmul.blocks import multiply as multiply
from chainrule.compiler.on_native.matmul.product import (
    Lowered as Lowered,
    Product as Product,
    normalized as normalized,
    packed_size as packed_size,
    panel_width as panel_width,
)
