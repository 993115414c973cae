"""Pages that open offline: plots as inline SVG, one template, no external resource."""
