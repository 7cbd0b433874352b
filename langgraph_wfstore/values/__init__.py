"""Values as stored objects: elements, lists and masks, where a lineage keeps them, and how they are read back."""
