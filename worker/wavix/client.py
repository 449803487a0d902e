"""The Wavix Numbers API, in every published dialect: reads that are retried, mutating calls that are sent once.

Paths and bodies follow the published OpenAPI descriptions; where those and the provider's overview differ, the call says so.
Numbers are E.164 with the plus on our side and digits on the wire.
"""

from worker.wavix.account_calls import AccountCalls
from worker.wavix.cart_calls import CartCalls
from worker.wavix.document_calls import DocumentCalls
from worker.wavix.owned_calls import OwnedCalls
from worker.wavix.route_calls import RouteCalls
from worker.wavix.stock_calls import StockCalls


class WavixClient(StockCalls, CartCalls, OwnedCalls, RouteCalls, DocumentCalls, AccountCalls):
    """One account, for one thread at a time. Reads raise `ReadFailed` or `NotThere`; mutating calls return an `Answer`.

    `dialect` is a name, taken as it was published (``auto``: this client detects it alone), or a source that detects it for all of an
    account's clients.

    `timeout_s` is that of one request, from the connection to the last byte of the answer. A list of more than `max_pages` pages isn't
    believed. `calls` knows what is under way. `admission` says when each may go; without one all go at once. `locations` remembers
    countries, regions and cities; give the same to all clients of an account.
    """
