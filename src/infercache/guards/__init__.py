"""When not to ask: one computation, leases, early refresh, deadlines, breakers."""
