"""What carries out the evaluations of a ladder, behind one interface: this machine, or the nodes of a Ray cluster."""
