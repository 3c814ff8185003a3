"""MTU-Net: calcifications of a mammogram, one output per kind (Alghamdi 2024)."""
