package balance

func (w *work) tokenMoves() (*Plan, error) { return nil, &Impossible{"vnodes"} }
func (w *work) partial() (*Plan, error)    { return nil, &Impossible{"partial"} }
func (w *work) frontier(p *Plan)           {}
