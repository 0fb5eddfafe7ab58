"""An editing session without a page: what is in hand, what can change there, what it takes to do so."""
