"""The gate in front of every route: who asks, may they, how much, from where; and the record of what they changed."""
