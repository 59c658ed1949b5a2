"""Makes the world follow the intent: observe, plan, apply; again and again, from any start."""
