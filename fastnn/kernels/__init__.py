"""The compiled operations: the contract, and the flat list.

A kernel is a pure loop nest over C-contiguous, aligned, writable arrays of one float type. Outputs come last and are
overwritten whole; a kernel returns nothing, checks nothing, allocates nothing and never touches memory outside its
arrays. An array of size 0 stands for "no array". Every operation has a twin of the same name and signature in
`fastnn.reference`, and tests compare the two.

Images are (N, H, W, C), convolution weights (R, S, C / groups, K), dense weights (C, K).
"""
