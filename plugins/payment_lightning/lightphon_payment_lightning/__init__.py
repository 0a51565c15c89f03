"""Bitcoin Lightning for LightPhon: deposits and payouts through a wallet of the operator's choice."""
