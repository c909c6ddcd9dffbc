"""Small networks that are trained before one's eyes: data in the plane and digits, training that can be rewound, and
what the page shows of it."""

from chainrule.studio.networks.questions import endpoints as endpoints
from chainrule.studio.networks.schema import NETWORK_TRACE as NETWORK_TRACE
from chainrule.studio.networks.sessions import Sessions as Sessions
from chainrule.studio.networks.training_schema import TRAINING_TRACE as TRAINING_TRACE
