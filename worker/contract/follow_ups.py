"""The job that a purchase leaves behind for numbers that take no calls before their documents are approved."""

#: What it is called: the purchase's id, a dash, and this.
DOCUMENTS = "documents"
#: The same, where the first one has ended before all was known of the purchase.
DOCUMENTS_AGAIN = "documents-again"
#: It begins to look so long after the purchase; nobody hands documents in at once.
FIRST_LOOK_S = 60.0
