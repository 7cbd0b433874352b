"""LangGraph checkpointers side by side: `python -m bench` from the checkout.

Development only: nothing here ships in the wheel.
"""
