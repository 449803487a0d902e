"""The jobs that other jobs leave behind: of a purchase, for numbers that take no calls before their documents are approved; of a release
that a person ended, for numbers that are still parked."""

#: What it is called: the purchase's id, a dash, and this.
DOCUMENTS = "documents"
#: The same, where the first one has ended before all was known of the purchase.
DOCUMENTS_AGAIN = "documents-again"
#: Delay of the first check after the purchase; documents aren't uploaded at once.
FIRST_LOOK_S = 60.0
#: What the job is called that gives the numbers of a release, which a person has ended, their routes back.
UNPARK = "unpark"
