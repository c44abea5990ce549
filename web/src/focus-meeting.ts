/** What pages of others load: an address that stays, of what has another name with each version. */
import './main';
