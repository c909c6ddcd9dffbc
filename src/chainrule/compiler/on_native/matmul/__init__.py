"""Matrix products of every shape.

=====================  ==========================================================================
`product`              what a product is, and how packed matrices lie in memory
`lowering`             which way a product is computed
`plan`                 how it is cut into tiles, panels, passes and tasks
`blocks`               the code of a task: loops over panels and blocks
`tile`                 the innermost loop: sums in registers
`packing`              copies of A and B
`inner`                few rows with a transposed B
`parts`                two steps: partial sums, or a row for a column
`panelled`             a B that is packed before
`computed`             operands that are computed as they are copied
=====================  ==========================================================================
"""

from chainrule.compiler.on_native.call import Lowered as Lowered
from chainrule.compiler.on_native.matmul.lowering import lower as lower
from chainrule.compiler.on_native.matmul.panelled import Panelling as Panelling
from chainrule.compiler.on_native.matmul.panelled import computes_rows as computes_rows
from chainrule.compiler.on_native.matmul.panelled import panelling as panelling
from chainrule.compiler.on_native.matmul.product import Product as Product
from chainrule.compiler.on_native.matmul.product import packed_size as packed_size
from chainrule.compiler.on_native.matmul.product import panel_width as panel_width
