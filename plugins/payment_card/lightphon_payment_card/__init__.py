"""Deposits by card for LightPhon, through Stripe Checkout."""
