"""What one's own logged losses say of the workflow that made them."""

from collapse.auditing.answer import Audit
from collapse.auditing.power import power
from collapse.auditing.study import audit

__all__ = ["Audit", "audit", "power"]
