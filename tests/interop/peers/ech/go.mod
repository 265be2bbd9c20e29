module gatehouse.example/ech

go 1.23
