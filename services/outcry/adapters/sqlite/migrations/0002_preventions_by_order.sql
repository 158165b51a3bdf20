-- Orders name the last match that self-trade prevention stopped, so that match is looked up by order.

CREATE INDEX prevented_of_maker ON prevented (maker_order, prevented_id);
CREATE INDEX prevented_of_taker ON prevented (taker_order, prevented_id);
CREATE INDEX prevented_by_place ON prevented (part, log_offset);
