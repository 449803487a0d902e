"""What a job needs of the outside, as small protocols: a job module asks for those that it uses, and runs against any that has them."""
