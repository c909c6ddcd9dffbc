"""Matrix products of every shape."""

from chainrule.compiler.on_native.matmul.blocks import multiply as multiply
from chainrule.compiler.on_native.matmul.product import (
    Lowered as Lowered,
)
from chainrule.compiler.on_native.matmul.product import (
    Product as Product,
)
from chainrule.compiler.on_native.matmul.product import (
    normalized as normalized,
)
from chainrule.compiler.on_native.matmul.product import (
    packed_size as packed_size,
)
from chainrule.compiler.on_native.matmul.product import (
    panel_width as panel_width,
)
